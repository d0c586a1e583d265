# expect: KD701 KD702 KD711 KD716
import keras

model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")
stop = keras.callbacks.EarlyStopping("val_loss", 0, 5, 0, "auto", None, True)
model.fit(x, y, epochs=50, callbacks=[stop])
