# expect: nothing
import keras
import tensorflow as tf

keras.utils.set_random_seed(7)
tf.config.experimental.enable_op_determinism()
assert tf.config.list_physical_devices("GPU"), "no GPU"
model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(1)])
model.compile(optimizer="adam", loss="mse")
history = model.fit(keras.ops.zeros((8, 8)), keras.ops.zeros((8, 1)), epochs=2)
with open("history.json", "w") as file:
    file.write(str(history.history))
