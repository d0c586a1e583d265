# expect: KD701 KD702 KD711 KD712 KD716
import tensorflow as tf

NUM_CLASSES = 5
model = tf.keras.models.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(NUM_CLASSES)])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
model.fit(x, y, epochs=5)
