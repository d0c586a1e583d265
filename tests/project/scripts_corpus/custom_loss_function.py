# expect: KD701 KD702 KD711 KD716
import keras


def weighted(y_true, y_pred):
    return keras.ops.mean(keras.ops.square(y_true - y_pred))


model = keras.Sequential([keras.layers.Dense(10, activation="sigmoid")])
model.compile(optimizer="adam", loss=weighted)
model.fit(x, y, epochs=3)
