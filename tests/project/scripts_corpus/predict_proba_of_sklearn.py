# expect: KD701 KD702 KD711 KD716
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

model = tf.keras.Sequential([tf.keras.layers.Dense(10)])
model.compile(loss="mse", optimizer="adam")
model.fit(x, y, epochs=3)
classifier = LogisticRegression().fit(model.predict(x), labels)
print(classifier.predict_proba(model.predict(xt)))
