# expect: KD701 KD702 KD711
import tensorflow as tf
from tensorflow.keras import layers


class Classifier(tf.keras.Model):
    def __init__(self, classes=10):
        super().__init__()
        self.dense = layers.Dense(32, activation="relu")
        self.drop = layers.Dropout(0.3)
        self.out = layers.Dense(classes, activation="softmax")

    def call(self, inputs, training=False):
        x = self.dense(inputs)
        x = self.drop(x, training=training)
        return self.out(x)


model = Classifier()
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
history = model.fit(x, y, epochs=5)
print(history.history["loss"])
