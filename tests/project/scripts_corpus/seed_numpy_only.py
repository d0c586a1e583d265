# expect: KD701 KD702 KD711
import keras
import numpy as np

np.random.seed(0)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
print(model.fit(x, y, epochs=3).history)
