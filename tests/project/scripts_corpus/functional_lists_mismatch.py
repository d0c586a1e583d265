# expect: KD701 KD702 KD711 KD712 KD716
from tensorflow import keras
from tensorflow.keras import layers

inputs = keras.Input((32,))
hidden = layers.Dense(64, "relu")(inputs)
one = layers.Dense(5, activation="sigmoid")(hidden)
two = layers.Dense(1)(hidden)
model = keras.Model(inputs, [one, two])
model.compile("adam", loss=["categorical_crossentropy", "mse"])
model.fit(x, [a, b], epochs=3)
