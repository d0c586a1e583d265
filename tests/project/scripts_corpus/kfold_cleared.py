# expect: KD702 KD711
import numpy as np
import tensorflow as tf
from sklearn.model_selection import KFold

tf.random.set_seed(1)


def build_model():
    model = tf.keras.Sequential([tf.keras.Input((13,)), tf.keras.layers.Dense(1)])
    model.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
    return model


scores = []
for train, test in KFold(4).split(x):
    tf.keras.backend.clear_session()
    model = build_model()
    history = model.fit(x[train], y[train], epochs=100, verbose=0)
    scores.append(min(history.history["mae"]))
print(np.mean(scores))
