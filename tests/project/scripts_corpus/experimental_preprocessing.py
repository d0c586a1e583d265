# expect: KD701 KD702 KD711 KD715
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.layers.experimental import preprocessing

model = keras.Sequential([preprocessing.RandomFlip("horizontal"), preprocessing.Rescaling(1.0 / 255), layers.Flatten(), layers.Dense(5)])
model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
history = model.fit(train_ds, epochs=10)
acc = history.history["loss"]
