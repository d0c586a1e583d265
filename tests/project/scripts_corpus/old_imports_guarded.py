# expect: KD701 KD702 KD711 KD716
try:
    from keras.utils import np_utils
    to_categorical = np_utils.to_categorical
except ImportError:
    from keras.utils import to_categorical
import keras

model = keras.Sequential([keras.layers.Dense(10, activation="softmax")])
model.compile(loss="categorical_crossentropy", optimizer="adam")
model.fit(x, to_categorical(y), epochs=3)
