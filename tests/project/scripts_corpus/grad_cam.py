# expect: nothing
import keras
import tensorflow as tf

model = keras.applications.Xception(weights="imagenet")
grad_model = keras.models.Model(model.inputs, [model.get_layer("block14").output, model.output])
with tf.GradientTape() as tape:
    last_conv, preds = grad_model(img_array)
    channel = preds[:, tf.argmax(preds[0])]
grads = tape.gradient(channel, last_conv)
print(grads)
