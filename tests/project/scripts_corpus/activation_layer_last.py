# expect: KD701 KD702 KD711 KD716
from tensorflow.keras import Sequential
from tensorflow.keras.layers import Activation, Dense

model = Sequential([Dense(10), Activation("softmax")])
model.compile(optimizer="adam", loss="categorical_crossentropy")
model.fit(x, y, epochs=5)
