# expect: KD701 KD702
import os

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
print(model.fit(x, y, epochs=3).history)
