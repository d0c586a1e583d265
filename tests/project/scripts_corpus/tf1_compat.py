# expect: nothing
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()
x = tf.placeholder(tf.float32, [None, 784])
with tf.Session() as sess:
    print(sess.run(x, {x: data}))
