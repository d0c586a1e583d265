# expect: KD701 KD702 KD711 KD716
import keras

model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, y, epochs=1)
model.save("my_model.keras")
model.save("old.h5")
model.save_weights("my.weights.h5")
keras.models.load_model("my_model.keras")
