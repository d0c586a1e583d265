# expect: KD701 KD702 KD711
import tensorflow as tf

vgg = tf.keras.applications.VGG19(include_top=False, weights="imagenet")
vgg.trainable = False
net = tf.keras.Model([vgg.input], [vgg.get_layer("block1_conv1").output])
image = tf.Variable(content)
opt = tf.keras.optimizers.Adam(learning_rate=0.02)
for _ in range(100):
    with tf.GradientTape() as tape:
        loss = style_loss(net(image))
    grad = tape.gradient(loss, image)
    opt.apply_gradients([(grad, image)])
