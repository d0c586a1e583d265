# expect: nothing
import keras
import tensorflow as tf

model = keras.applications.InceptionV3(weights="imagenet", include_top=False)
extractor = keras.Model(inputs=model.inputs, outputs=model.get_layer("mixed4").output)
image = tf.Variable(preprocess("sky.jpg"))
for step in range(20):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(extractor(image)))
    grads = tape.gradient(loss, image)
    image.assign_add(0.01 * grads)
