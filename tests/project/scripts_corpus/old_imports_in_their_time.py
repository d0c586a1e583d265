# expect: KD701 KD702 KD711 KD716
# with: tensorflow==2.8.4 keras==2.8.0
from keras.layers.core import Dense
from keras.models import Sequential
from keras.utils import np_utils

y = np_utils.to_categorical(labels, 10)
model = Sequential([Dense(10, activation="softmax")])
model.compile(loss="categorical_crossentropy", optimizer="adam")
model.fit_generator(x, y, epochs=3)
