# expect: KD701 KD702 KD711 KD713 KD716
import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation="relu")])
model.compile(optimizer="sgd", loss="mse")
model.add(keras.layers.Dense(1))
model.fit(x, y, epochs=2)
