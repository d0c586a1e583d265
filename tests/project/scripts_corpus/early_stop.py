# expect: KD701 KD702 KD711 KD718
import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)
history = model.fit(x, y, validation_split=0.2, epochs=100, callbacks=[stop])
print(history.history)
