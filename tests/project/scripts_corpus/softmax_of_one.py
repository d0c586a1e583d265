# expect: KD701 KD702 KD711 KD712 KD716
import keras

model = keras.Sequential()
model.add(keras.layers.Dense(8, activation="relu"))
model.add(keras.layers.Dense(1, activation="softmax"))
model.compile(loss="binary_crossentropy", optimizer="sgd")
model.fit(x, y, epochs=2)
