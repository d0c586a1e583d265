# expect: KD701 KD702 KD711 KD716
import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])
history = model.fit(x, y, epochs=5)
model.save("model.keras")
