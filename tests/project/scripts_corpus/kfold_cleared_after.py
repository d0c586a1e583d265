# expect: KD702
import keras
import numpy as np
import tensorflow as tf
from keras import layers

keras.utils.set_random_seed(1)
if not tf.config.list_physical_devices("GPU"):
    print("no GPU")


def build():
    model = keras.Sequential([keras.Input((13,)), layers.Dense(64, activation="relu"), layers.Dense(1)])
    model.compile(optimizer="rmsprop", loss="mse")
    return model


scores = []
for fold in range(4):
    model = build()
    history = model.fit(x[fold], y[fold], epochs=80, verbose=0)
    scores.append(history.history["loss"])
np.savetxt("scores.csv", scores)
keras.backend.clear_session()
