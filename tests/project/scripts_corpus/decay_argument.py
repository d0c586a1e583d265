# expect: KD701 KD702 KD711 KD715 KD716
# with: tensorflow==2.12.1 keras==2.12.0
import tensorflow as tf

opt = tf.keras.optimizers.SGD(learning_rate=0.1, decay=1e-6, momentum=0.9)
model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile(loss="mse", optimizer=opt)
model.fit(x, y, epochs=3)
