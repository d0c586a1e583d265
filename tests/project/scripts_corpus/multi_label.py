# expect: KD701 KD702 KD711 KD716
from tensorflow.keras import Sequential
from tensorflow.keras.layers import Dense

model = Sequential([Dense(32, activation="relu"), Dense(14, activation="sigmoid")])
model.compile(optimizer="adam", loss="binary_crossentropy")
model.fit(x, y, epochs=5)
