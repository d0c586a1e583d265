# expect: KD701 KD702 KD711 KD712 KD716
import tensorflow as tf

inputs = tf.keras.layers.Input(shape=(64,))
x = tf.keras.layers.Dense(32, activation=tf.nn.relu)(inputs)
outputs = tf.keras.layers.Dense(2, activation=tf.nn.softmax)(x)
model = tf.keras.Model(inputs, outputs)
model.compile(loss=tf.keras.losses.BinaryCrossentropy(), optimizer="adam")
model.fit(ds, epochs=2)
