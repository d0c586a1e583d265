# expect: KD701 KD702 KD711 KD712 KD716
import tensorflow as tf

model = tf.keras.models.Sequential(
    [tf.keras.layers.Flatten(input_shape=(28, 28)), tf.keras.layers.Dense(10), tf.keras.layers.Softmax()]
)
loss_fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer="adam", loss=loss_fn)
model.fit(x, y, epochs=5)
