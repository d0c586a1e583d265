# expect: KD701 KD702 KD711 KD716
# with: tensorflow==2.15.1 keras==2.15.0
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, y, epochs=1, workers=4, use_multiprocessing=True)
model.save("saved_model/my_model", save_format="tf")
