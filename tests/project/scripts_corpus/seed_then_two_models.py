# expect: KD702 KD711 KD716
import keras

first = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
first.compile("adam", "mse")
first.fit(x, y, epochs=1)
keras.utils.set_random_seed(0)
second = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
second.compile("adam", "mse")
second.fit(x, y, epochs=1)
