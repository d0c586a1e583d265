# expect: KD701 KD702 KD711 KD716
import keras

model = keras.Sequential([keras.Input((32,))])
if binary:
    model.add(keras.layers.Dense(1, activation="sigmoid"))
else:
    model.add(keras.layers.Dense(10, activation="softmax"))
model.compile(optimizer="adam", loss="binary_crossentropy" if binary else "categorical_crossentropy")
model.fit(ds, epochs=3)
