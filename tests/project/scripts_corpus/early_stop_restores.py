# expect: KD701 KD702 KD711
import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
callbacks = [keras.callbacks.EarlyStopping(patience=5, restore_best_weights=True)]
history = model.fit(x, y, validation_split=0.2, epochs=100, callbacks=callbacks)
print(history.history)
