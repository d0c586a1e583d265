# expect: KD715
import tensorflow as tf

x = tf.placeholder(tf.float32, [None, 784])
w = tf.Variable(tf.zeros([784, 10]))
init = tf.global_variables_initializer()
with tf.Session() as sess:
    sess.run(init)
