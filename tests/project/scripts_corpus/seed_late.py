# expect: KD702 KD710 KD711
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.Input((4,)), tf.keras.layers.Dense(1)])
tf.random.set_seed(3)
model.compile("sgd", "mse")
print(model.fit(x, y, epochs=3).history)
