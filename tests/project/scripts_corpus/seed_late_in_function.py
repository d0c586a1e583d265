# expect: KD702 KD710 KD711
from tensorflow import keras


def build():
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(2)(inputs))


def prepare():
    keras.utils.set_random_seed(5)


model = build()
prepare()
model.compile("sgd", "mse")
print(model.fit(x, y, epochs=3).history)
