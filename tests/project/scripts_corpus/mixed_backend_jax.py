# expect: KD716
import os

os.environ["KERAS_BACKEND"] = "jax"
import keras

keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(x, y, epochs=3)
