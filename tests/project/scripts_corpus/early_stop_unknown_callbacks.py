# expect: KD701 KD702 KD711
import keras
from project.callbacks import make_callbacks

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
callbacks = [keras.callbacks.EarlyStopping(patience=3)] + make_callbacks()
model.fit(x, y, epochs=100, callbacks=callbacks)
