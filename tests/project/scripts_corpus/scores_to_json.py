# expect: KD701 KD702 KD711
import json

import keras

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("sgd", "mse", metrics=["mae"])
model.fit(x, y, epochs=5)
loss, mae = model.evaluate(xt, yt)
with open("metrics.json", "w") as f:
    json.dump({"loss": loss, "mae": mae}, f)
