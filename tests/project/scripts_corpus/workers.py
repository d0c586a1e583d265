# expect: KD701 KD702 KD711 KD715 KD716
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(sequence, epochs=1, workers=4, use_multiprocessing=True)
