# expect: KD701 KD702 KD711 KD715 KD716
from keras.layers.core import Dense
from keras.layers.convolutional import Conv2D
from keras.models import Sequential
from keras.utils import np_utils

y = np_utils.to_categorical(labels, 10)
model = Sequential([Conv2D(8, 3), Dense(10, activation="softmax")])
model.compile(loss="categorical_crossentropy", optimizer="adam")
model.fit(x, y, epochs=3)
