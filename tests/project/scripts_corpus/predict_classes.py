# expect: KD701 KD702 KD711 KD715 KD716
# with: tensorflow==2.8.4 keras==2.8.0
import tensorflow as tf

model = tf.keras.Sequential([tf.keras.layers.Dense(10, activation="softmax")])
model.compile(loss="sparse_categorical_crossentropy", optimizer="adam")
model.fit(x, y, epochs=3)
print(model.predict_classes(xt))
