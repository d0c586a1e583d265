# expect: KD701 KD702 KD711 KD716
import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
model.compile(optimizer="sgd", loss="mse")
model.fit(x, y, epochs=2)
model.pop()
model.add(keras.layers.Dense(3))
model.compile(optimizer="sgd", loss="mse")
model.fit(x, z, epochs=2)
