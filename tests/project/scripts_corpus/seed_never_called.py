# expect: KD701 KD702 KD711
import tensorflow as tf


def seeds():
    tf.random.set_seed(3)


model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)])
model.compile("sgd", "mse")
print(model.fit(x, y, epochs=3).history)
