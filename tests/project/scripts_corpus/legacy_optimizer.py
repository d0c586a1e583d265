# expect: KD701 KD702 KD711 KD715 KD716
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile(optimizer=tf.keras.optimizers.legacy.Adam(learning_rate=0.01), loss="mse")
model.fit(x, y, epochs=1)
