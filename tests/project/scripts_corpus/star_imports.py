# expect: KD701 KD702 KD711 KD712 KD716
from tensorflow.keras.layers import *
from tensorflow.keras.models import *

model = Sequential()
model.add(Dense(64, activation="relu"))
model.add(Dense(3, activation="sigmoid"))
model.compile(loss="categorical_crossentropy", optimizer="adam")
model.fit(x, y, epochs=3)
