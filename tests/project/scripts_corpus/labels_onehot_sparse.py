# expect: KD701 KD702 KD711 KD712 KD716
import keras

(x, y), _ = keras.datasets.cifar10.load_data()
y = keras.utils.to_categorical(y, 10)
model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
model.fit(x, y, epochs=3)
