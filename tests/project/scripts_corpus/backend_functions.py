# expect: KD701 KD702 KD711 KD715 KD716
import keras
from keras import backend as K


def dice(y_true, y_pred):
    return 2 * K.sum(y_true * y_pred) / (K.sum(y_true) + K.sum(y_pred))


model = keras.Sequential([keras.layers.Conv2D(1, 1, activation="sigmoid")])
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=[dice])
model.fit(x, y, epochs=1)
