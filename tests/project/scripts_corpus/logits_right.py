# expect: KD701 KD702 KD711 KD716
import tensorflow as tf

NUM_CLASSES = 5
model = tf.keras.models.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(NUM_CLASSES)])
model.compile(optimizer="adam", loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(x, y, epochs=5)
