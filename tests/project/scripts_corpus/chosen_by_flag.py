# expect: KD701 KD702 KD711 KD716
import keras

classes = len(names)
if classes == 2:
    activation, units, loss = "sigmoid", 1, "binary_crossentropy"
else:
    activation, units, loss = "softmax", classes, "categorical_crossentropy"
model = keras.Sequential([keras.layers.Dense(units, activation=activation)])
model.compile(optimizer="adam", loss=loss)
model.fit(ds, epochs=3)
