# expect: KD701 KD702 KD711 KD716
import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile(optimizer=tf.keras.optimizers.legacy.Adam(lr=0.01), loss="mse")
model.fit(x, y, epochs=1)
