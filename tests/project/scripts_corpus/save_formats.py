# expect: KD701 KD702 KD711 KD715 KD716
import keras

model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, y, epochs=1)
model.save("saved_model/my_model")
model.save_weights("checkpoints/my_checkpoint")
