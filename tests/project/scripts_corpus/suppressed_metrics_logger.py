# expect: KD701 KD702 KD711
import logging

import keras

logging.basicConfig(filename="train.log", level=logging.INFO)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, y, epochs=3)
logging.info("loss %s", model.evaluate(x, y))
