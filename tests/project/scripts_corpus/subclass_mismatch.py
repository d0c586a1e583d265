# expect: KD701 KD702 KD711 KD712
import tensorflow as tf
from tensorflow.keras import layers


class Classifier(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(32, activation="relu")
        self.out = layers.Dense(10)

    def call(self, inputs):
        return self.out(self.hidden(inputs))


model = Classifier()
model.compile(optimizer="adam", loss=tf.keras.losses.SparseCategoricalCrossentropy())
history = model.fit(x, y, epochs=5)
print(history.history["loss"])
