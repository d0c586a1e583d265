# expect: KD701 KD702 KD711 KD716
import tensorflow as tf
from tensorflow.keras import backend as K


def rmse(y_true, y_pred):
    return K.sqrt(K.mean(K.square(y_pred - y_true)))


model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
model.compile(optimizer="adam", loss=rmse)
model.fit(x, y, epochs=1)
